from keras.layers import Dropout

drop = Dropout(True)
