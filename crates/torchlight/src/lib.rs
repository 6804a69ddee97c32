//! From labelled packet captures to new, protocol-correct ones: the whole pipeline behind one builder.
