//! Only a place for the targets of this package.
