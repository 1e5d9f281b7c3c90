"""nn.Dropout(50) drops nothing: it raises."""

EXAMPLE = "nn.Dropout(50)"
