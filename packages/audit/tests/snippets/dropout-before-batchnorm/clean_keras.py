from keras import Sequential, layers

net = Sequential([layers.Dense(8), layers.Dropout(0.5), layers.BatchNormalization()])
