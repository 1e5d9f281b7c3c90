"""Use F.scaled_dot_product_attention(q, k, v, dropout_p=self.p) with care."""

NAME = "F.scaled_dot_product_attention(q, k, v, dropout_p=self.p)"
