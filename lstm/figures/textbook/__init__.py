"""The textbook's figures (Olah, "Understanding LSTM Networks", 2015), from the graphs of cells.

Boxes, wires and equations are read from a cell's equations (`wiring`), a cell says where its boxes
stand or it follows from the wiring (`placing`), one rule finds the wires' ways (`routing`), and
`notation` draws. Each figure is a function of `lstm.figures`; its module `numbered` lists them.
"""
