from torch import nn

DROPOUT = 30


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(DROPOUT)  #! p-out-of-range
