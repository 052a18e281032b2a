"""The few error types that a caller may want to catch, and how errors of others are told.

Every message is one line that says which file, what is wrong and what to do. The command line prints the message of an
`AllsightError` without a traceback and exits with code 2.
"""


class AllsightError(Exception):
    """Something that the caller can put right: the root of every error that this package raises on purpose."""


class PictureError(AllsightError):
    """A picture or clip that cannot be read: not a picture, truncated, too large, no permission."""


class AnnotationError(AllsightError):
    """Annotations that cannot be read or that contradict themselves: broken JSON, unknown ids, NaN boxes."""


class WeightsError(AllsightError):
    """Weights that cannot be found, read or loaded into the model at hand."""


class ModelError(AllsightError):
    """A model that does not exist or was asked for something that it cannot do."""


class TrainingError(AllsightError):
    """Training that cannot start or go on: no usable examples, a loss that is not finite."""


class OutputError(AllsightError):
    """A result that cannot be written: a full disk, no permission, a file that exists and was not to be replaced."""


def reason(error: BaseException, most: int = 160) -> str:
    """Say in one line, of so many characters at most, what another library's error says."""
    if isinstance(error, KeyError):
        return f"{error} is missing"  # its text is the bare key
    lines = (" ".join(line.split()) for line in str(error).splitlines())
    return next((line for line in lines if line), type(error).__name__)[:most]
