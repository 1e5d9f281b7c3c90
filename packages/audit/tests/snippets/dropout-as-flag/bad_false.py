import torch

drop = torch.nn.Dropout(False)  #! dropout-as-flag
