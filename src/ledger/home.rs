//! A ledger that was restored: its rows find themselves in another place, and what they know may be older than what Buy with Prime
//! holds.

use super::connect::in_time;
use super::{Ledger, LedgerError};
use crate::config::ReadFirst;
use chrono::{DateTime, Utc};

impl Ledger {
    /// Makes a restored ledger fit the place where it is now, and notes how things are read first. Gives the moment before which all
    /// that is known of Buy with Prime is doubted where things are read first: that of a restore, or of the start with which
    /// reading first began. To be called before anything is settled or published.
    ///
    /// # Errors
    /// Where Postgres is away.
    pub async fn come_home(&self, read_first: ReadFirst) -> Result<Option<DateTime<Utc>>, LedgerError> {
        in_time(async {
            let is_fitted: bool = sqlx::query_scalar("SELECT fit_history()").fetch_one(&self.pool).await?;
            if is_fitted {
                tracing::warn!("the outcomes come from a cluster with higher transaction ids: they are fitted into this one");
            }
            let (doubted_at, was_restored): (Option<DateTime<Utc>>, bool) = sqlx::query_as(
                "WITH before AS MATERIALIZED (SELECT place, whereabouts() AS here FROM home)
                 UPDATE home SET place = b.here, read_first = $1, doubted_at = CASE
                    WHEN home.place <> b.here OR (home.read_first <> $1 AND $1 <> 'off') THEN clock_timestamp()
                    ELSE home.doubted_at END
                 FROM before b RETURNING doubted_at, coalesce(b.place <> b.here, false)",
            )
            .bind(read_first.as_str())
            .fetch_one(&self.pool)
            .await?;
            if was_restored && read_first == ReadFirst::Off {
                tracing::warn!(
                    "the ledger was restored, or its server failed over; what was sent since is not known to it. Stop, and start \
                     with dispatch.read_first, or it may be sent again"
                );
            }
            Ok(doubted_at.filter(|_| read_first != ReadFirst::Off))
        })
        .await
    }
}
