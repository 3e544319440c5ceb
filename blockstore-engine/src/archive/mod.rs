//! Archives streamed from a snapshot.
