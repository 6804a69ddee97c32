//! OpenCV-exact Canny edges and, over libtorch, the ControlNet that holds generation to them.
