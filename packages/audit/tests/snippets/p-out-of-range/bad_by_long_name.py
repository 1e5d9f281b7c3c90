from torch.nn.modules.dropout import Dropout2d

drop = Dropout2d(25)  #! p-out-of-range
