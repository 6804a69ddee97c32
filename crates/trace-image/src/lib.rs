//! Ternary packet matrices as self-describing PNG images, and image folders with captions.
