"""HTML reports: templates with autoescape, and the page around a fragment.

Both reports use it: a package's templates lie in its folder `templates`. Jinja2 is imported when a
report is rendered as HTML, since it takes a tenth of a second to load.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


@functools.cache
def environment(package: str, text: Callable[[str], str] = str) -> Environment:
    """The templates of a package.

    Args:
        package: Its name; the templates are the files of its folder `templates`.
        text: Applied to each value that a template prints, before the value is escaped. A
            `Markup` is printed unchanged.

    Returns:
        The environment. It escapes all values, and a name without a value is an error.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return value if isinstance(value, Markup) else text(str(value))

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(environment: Environment, template: str, **values: object) -> str:
    """Renders a template in ASCII, which is valid in any encoding that it is written or sent in."""
    text = environment.get_template(template).render(values)
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


def page(title: str, fragment: str, style: str = "body { margin: 0 }") -> str:
    """Puts a fragment into a page that loads nothing and runs no script, by its own policy.

    Args:
        title: The title; it is escaped.
        fragment: HTML, as `render` returns it.
        style: CSS of the page itself.

    Returns:
        An HTML document in ASCII.

    Example:
        >>> page("a < b", "<p>text</p>").splitlines()[-3]
        '<p>text</p>'
    """
    from markupsafe import Markup

    return render(
        environment(__package__),
        "page.html",
        title=title,
        fragment=Markup(fragment.rstrip("\n")),
        style=Markup(style),
    )
