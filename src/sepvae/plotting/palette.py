"""The colours that mean the same in every figure: Okabe and Ito's, which colour-blind readers tell apart."""

BACKGROUND = "#0072B2"
TARGET = "#D55E00"
CATEGORIES = (BACKGROUND, TARGET, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
NEUTRAL = "#333333"
OTHERS = "#8C8C8C"
MISSING = "#C8C8C8"
