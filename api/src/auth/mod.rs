//! Who somebody is: passwords, sessions, unique names, and what happens to users.

pub mod claims;
mod credentials;
mod error;
mod first_admin;
pub mod password;
pub mod session;
pub mod throttle;
mod users;

pub use error::AuthError;
pub use password::{Password, PasswordError, Passwords};
pub use session::{Session, SessionError, SessionLimits, SessionToken, Sessions};
pub use users::{NewUser, RegisteredUser, SignedIn, Users};
