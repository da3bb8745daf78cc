"""Choice of one of several outputs."""


def select_output(frame, output):
    """Rows of a frame that belong to an output.

    A frame of a single output is returned as it is, and `output` must be None then.
    """
    if "output" not in frame.columns:
        if output is not None:
            raise ValueError(
                "output chooses one of several classes or labels, but this estimator has a single "
                "one. Leave it out."
            )
        return frame
    names = frame["output"].unique()
    if output is None or not (names == output).any():
        raise ValueError(
            f"output must be one of the {len(names)} classes or labels of the estimator "
            f"(its classes_), whose risk is drawn, got "
            f"{'None' if output is None else 'something else'}."
        )
    return frame[frame["output"] == output].reset_index(drop=True)
