"""The calls of the service, a file a subject; each defines `router`."""
