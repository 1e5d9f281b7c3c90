import keras

drop = keras.layers.Dropout(1.0)
