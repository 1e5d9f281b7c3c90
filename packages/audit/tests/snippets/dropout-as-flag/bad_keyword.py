from torch.nn import Dropout2d

drop = Dropout2d(p=True)  #! dropout-as-flag
