from torch.nn import Dropout as D
from torch.nn import Linear, Sequential

net = Sequential(
    Linear(8, 16),
    D(0.5),
    D(0.5),  #! double-dropout advice
    Linear(16, 1),
)
