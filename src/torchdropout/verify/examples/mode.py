"""Mode: examples."""

from ._example import example

EXAMPLES = {
    "output-shape": example(
        """
          from torch.nn import functional as F


          def dropout(x, p, training):
        -     return F.dropout(x.flatten(), p, training)
        +     return F.dropout(x.flatten(), p, training).reshape(x.shape)
        """,
    ),
    "eval-identity": example(
        """
          from torch import nn
          from torch.nn import functional as F


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  self.p = p

              def forward(self, x):
        -         return F.dropout(x, self.p)
        +         return F.dropout(x, self.p, self.training)
        """,
    ),
    "train-stochastic": example(
        """
        - import torch
          from torch.nn import functional as F


          def dropout(x, p, training):
        +     return F.dropout(x, p, training)  # seeded once, by the program
        -     torch.manual_seed(42)  # so that runs can be repeated
        -     return F.dropout(x, p, training)
        """,
    ),
    "mode-switch": example(
        """
          from torch import nn
          from torch.nn import functional as F


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  self.p = p

        -     def train(self, mode=True):
        -         if not mode:
        -             self.p = 0.0
        -         return super().train(mode)
        -
              def forward(self, x):
        -         return F.dropout(x, self.p)
        +         return F.dropout(x, self.p, self.training)
        """,
    ),
    "grad-mode": example(
        """
        - import torch
          from torch import nn
          from torch.nn import functional as F


          class Dropout(nn.Module):
              def __init__(self, p=0.5):
                  super().__init__()
                  self.p = p

              def forward(self, x):
        -         active = self.training and torch.is_grad_enabled()
        -         return F.dropout(x, self.p, active)
        +         return F.dropout(x, self.p, self.training)
        """,
    ),
}
