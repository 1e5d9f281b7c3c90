from keras.layers import Dropout

drop = Dropout(50)
