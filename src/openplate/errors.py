"""Every error that OpenPlate raises on purpose: one small tree, each message says what was expected, what came and what to do."""


class OpenPlateError(Exception):
    """Root of the tree; the command line prints its message without a traceback."""


class SourceError(OpenPlateError):
    """An image, folder or stream cannot be read: missing, empty, truncated, not an image, too large or too small."""


class FormatError(OpenPlateError):
    """A format file, a country code or a pattern is wrong."""


class WeightsError(OpenPlateError):
    """A weights file is missing, damaged, or not of the kind asked for."""


class EngineError(OpenPlateError):
    """The inference engine, device or precision asked for is not available."""


class ConfigError(OpenPlateError):
    """A configuration key is unknown or its value is out of range."""


class DatasetError(OpenPlateError):
    """A data set folder does not have the form that docs/datasets.md describes."""


class FetchError(OpenPlateError):
    """A public data set cannot be fetched: no network, a server's error, a wrong size or checksum, or a licence that was not accepted."""


class StoreError(OpenPlateError):
    """The database or the evidence cannot be used as asked: not reachable, of a newer version, damaged, or a query or an entry is wrong."""


class ServiceError(OpenPlateError):
    """The service cannot be reached, or refused a call.

    `status` is the HTTP status, None when no answer came; `retry_after_s` says when to come again, None when the service did not say so.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
