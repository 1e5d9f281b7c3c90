import torch as T


class Net(T.nn.Module):
    def forward(self, x):
        return T.nn.functional.dropout(x, 0.1)  #! functional-always-on
