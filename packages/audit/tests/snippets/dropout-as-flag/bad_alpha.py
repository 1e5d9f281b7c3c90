from torch import nn as N


class Net(N.Module):
    def __init__(self):
        super().__init__()
        self.drop = N.AlphaDropout(True)  #! dropout-as-flag
