from torch.nn.modules import dropout

drop = dropout.Dropout2d(False)  #! dropout-as-flag
