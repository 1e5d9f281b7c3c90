from keras.layers import LSTM

layer = LSTM(20, dropout=0.2)
