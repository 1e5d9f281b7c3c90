"""What the HTML reports share: values are escaped, pages load nothing."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from torchdropout._tools import html


def rendered(source, text=str, **values):
    return html.environment("torchdropout._tools", text).from_string(source).render(values)


def test_values_are_escaped_and_markup_is_not():
    assert rendered("{{ x }}", x='<b>"&') == "&lt;b&gt;&#34;&amp;"
    assert rendered("{{ x }}", x=Markup("<b>")) == "<b>"


def test_each_value_passes_through_the_text_function_before_it_is_escaped():
    assert rendered("<p>{{ x }}</p>", lambda text: text.upper() + "<", x="a") == "<p>A&lt;</p>"
    assert rendered("{{ x }}", str.upper, x=Markup("<b>")) == "<b>"


def test_a_name_without_a_value_is_an_error():
    with pytest.raises(UndefinedError, match="nothing"):
        rendered("{{ nothing }}")


def test_a_line_of_a_statement_alone_leaves_no_trace_and_the_last_line_ends():
    assert rendered("  {% if x %}\na\n  {% endif %}\nb\n", x=1) == "a\nb\n"


def test_a_page_is_ascii_and_its_title_is_escaped():
    page = html.page("a<b é", "<p>\n</p>\n")
    assert page.isascii()
    assert "<title>a&lt;b &#233;</title>" in page
    assert "<body>\n<p>\n</p>\n</body>" in page
    assert "default-src 'none'" in page
