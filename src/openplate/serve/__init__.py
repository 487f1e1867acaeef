"""The HTTP service: photos in, plates out; cameras watched in the background, their sightings stored, searched and told. Needs the extra `serve`."""
