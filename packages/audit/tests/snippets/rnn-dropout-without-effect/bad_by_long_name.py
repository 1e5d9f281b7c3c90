from torch.nn.modules.rnn import GRU

rnn = GRU(8, 8, dropout=0.3)  #! rnn-dropout-without-effect
