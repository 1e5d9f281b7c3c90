"""TD105: what the snippets do not show of attention whose dropout does not depend on the mode."""

from _marks import marked

NAME = "attention-dropout-ungated"


def test_a_rate_that_two_calls_are_given_is_found_once():
    source = """
def attend(q, k, v, p):
    one = F.scaled_dot_product_attention(q, k, v, dropout_p=p)
    return one + F.scaled_dot_product_attention(k, q, v, dropout_p=p)

class A(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = 0.1
    def forward(self, x):
        return attend(x, x, x, self.p)  #!
"""
    found, expected = marked(NAME, source)
    assert found == expected
    assert len(expected) == 1
