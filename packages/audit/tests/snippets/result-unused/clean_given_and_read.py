import torch
from torch import nn
from torch.nn import functional as F


class Head(nn.Module):
    def __init__(self, both=False):
        super().__init__()
        self.both = both
        self.drop = nn.Dropout(0.6)
        self.quiet = nn.Dropout(0.6, inplace=True)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        out = self.drop(x)
        out = self.fc(out)
        return out

    def in_one_branch(self, x):
        out = self.drop(x)
        if self.both:
            out = self.fc(x)
        return out

    def read_by_a_condition(self, x):
        out = self.drop(x)
        if out.isnan().any():
            raise ValueError
        out = self.fc(x)
        return out

    def in_the_next_turn(self, x):
        out = x
        for _ in range(2):
            y = self.fc(out)
            out = self.drop(y)
        return out

    def by_a_function_within(self, x):
        out = self.drop(x)

        def later():
            return self.fc(out)

        return later

    def for_another_scope(self, x):
        global last
        last = self.drop(x)
        return x

    def by_its_text(self, x):
        out = self.drop(x)
        return locals()

    def in_place(self, x):
        y = self.quiet(x)
        return x

    def thrown_away(self, x):
        _ = self.drop(x)  # advances the generator
        return x

    def in_branches(self, x):
        if self.both:
            h = F.dropout(x, 0.1, self.training)
        else:
            h = torch.relu(x)
        return h
