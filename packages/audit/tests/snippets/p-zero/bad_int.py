import torch

drop = torch.nn.Dropout2d(p=0)  #! p-zero advice
