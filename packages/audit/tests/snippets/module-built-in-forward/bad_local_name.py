from torch.nn import Dropout2d, Module


class Net(Module):
    def forward(self, x):
        drop = Dropout2d(self.p)  #! module-built-in-forward
        return drop(x)
