"""matplotlib, which is optional."""


def import_matplotlib(owner):
    """`matplotlib.pyplot`, or an error that names the extra that installs it.

    `owner` is what needs it, for the error.
    """
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{owner} needs matplotlib, which is not installed: pip install sklearn_ehr[plot]."
        ) from error
    return plt
