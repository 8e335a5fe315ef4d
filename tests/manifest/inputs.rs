//! Variables, images, secrets and inheritance.
