import torch

drop = torch.nn.Dropout2d(p=1.5)  #! p-out-of-range
