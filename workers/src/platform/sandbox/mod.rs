//! Our own server of the gateway's contract, over a seeded world.
