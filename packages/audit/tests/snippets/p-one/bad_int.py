from torch.nn import Dropout2d

drop = Dropout2d(p=1)  #! p-one advice
