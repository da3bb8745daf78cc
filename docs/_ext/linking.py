"""Single backticks: a link where they hold a public name, as `Cohort`, else code, as `fit`."""

from docutils import nodes
from public import find, methods_of, public_names


def link_targets():
    """Path of what each text between single backticks links to."""
    targets = public_names()
    for name, path in [*targets.items()]:
        if isinstance(find(path), type):
            for methods in methods_of(path).values():
                targets |= {f"{name}.{method}": f"{path}.{method}" for method in methods}
    return targets


def setup(app):
    targets = link_targets()

    def link_or_code(role, rawtext, text, lineno, inliner, options=None, content=()):
        if text not in targets:
            return [nodes.literal(rawtext, text, classes=["code"])], []
        reference = app.env.domains.python_domain.role("obj")
        title = f"{text} <{targets[text]}>"
        return reference("py:obj", f":py:obj:`{title}`", title, lineno, inliner)

    app.add_role("link", link_or_code)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
