//! A lane that cannot be worked on rests for a while, so that it stops no other: it kills its holders again and again, or its
//! rows cannot be read, or planning it breaks.

use super::LedgerError;
use sqlx::PgConnection;
use std::time::Duration;

/// Leases in a row that may end without a settle before the lane rests. A crash also touches lanes that had no part in it; they
/// rest once, come back one by one, and are settled then.
pub const MOST_TOUCHES: i32 = 3;

/// The first rest, which doubles, and the longest.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(3600);

/// A lane that is to rest, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Its id.
    pub id: i64,
    /// Leases in a row that ended without a settle.
    pub touches: i32,
    /// For the log.
    pub why: String,
}

/// How long a lane rests. `jitter` is from 0 to 1: lanes that were parked together come back apart from each other.
pub fn rest(touches: i32, jitter: f64) -> Duration {
    let doublings = u32::try_from(touches.saturating_sub(MOST_TOUCHES)).unwrap_or(0).min(16);
    FIRST.saturating_mul(1 << doublings).min(LONGEST).mul_f64(1.0 + jitter.clamp(0.0, 1.0))
}

/// Lets lanes rest whose rows are locked. Whoever held one before can no longer settle it.
pub(super) async fn park(db: &mut PgConnection, parked: &[Parked]) -> Result<(), LedgerError> {
    if parked.is_empty() {
        return Ok(());
    }
    let rests = parked.iter().map(|lane| rest(lane.touches, fastrand::f64()).as_secs_f64());
    sqlx::query(
        "UPDATE lane l SET is_leased = false, lease_no = l.lease_no + 1, touches = k.touches,
                next_at = now() + make_interval(secs => k.rest), parked_until = now() + make_interval(secs => k.rest)
         FROM unnest($1::bigint[], $2::int[], $3::float8[]) AS k (id, touches, rest)
         WHERE l.id = k.id",
    )
    .bind(parked.iter().map(|lane| lane.id).collect::<Vec<_>>())
    .bind(parked.iter().map(|lane| lane.touches).collect::<Vec<_>>())
    .bind(rests.collect::<Vec<_>>())
    .execute(db)
    .await?;
    for lane in parked {
        tracing::error!(
            lane = lane.id,
            touches = lane.touches,
            why = lane.why,
            "an order cannot be worked on; it rests, others go on"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_an_hour_and_are_spread() {
        let rests: Vec<u64> = [0, 3, 4, 5, 8, 9, 100].map(|touches| rest(touches, 0.0).as_secs()).into();
        assert_eq!(rests, [60, 60, 120, 240, 1920, 3600, 3600]);
        assert_eq!(rest(3, 1.0).as_secs(), 120);
    }
}
