#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A token endpoint: takes 50 ms, follows a script (its last line for ever), counts.
struct Endpoint {
    asked: Arc<AtomicUsize>,
    cache: Arc<TokenCache>,
}

fn endpoint(script: Vec<Result<u64, Denied>>) -> Endpoint {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let script = Arc::new(script);
    let cache = TokenCache::asking(move || {
        let number = counter.fetch_add(1, Ordering::SeqCst);
        let script = Arc::clone(&script);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match &script[number.min(script.len() - 1)] {
                Ok(life) => Ok(Granted {
                    header: HeaderValue::try_from(format!("Bearer t{number}")).unwrap(),
                    life: Duration::from_secs(*life),
                }),
                Err(denied) => Err(Denied { failure: denied.failure, at_least: denied.at_least }),
            }
        })
    });
    Endpoint { asked, cache }
}

impl Endpoint {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn refused(status: u16) -> Result<u64, Denied> {
    Err(TokenFailure::Refused { status }.into())
}

async fn pass(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_are_one_request() {
    let endpoint = endpoint(vec![Ok(900)]);
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let cache = Arc::clone(&endpoint.cache);
            tokio::spawn(async move { cache.get().await.unwrap().generation })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 1);
    }
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_gives_up_does_not_stop_the_request() {
    let endpoint = endpoint(vec![Ok(900)]);
    let short = tokio::time::timeout(Duration::from_millis(1), endpoint.cache.get()).await;
    assert!(short.is_err());
    assert_eq!(endpoint.cache.get().await.unwrap().generation, 1);
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_early_without_making_anybody_wait() {
    let endpoint = endpoint(vec![Ok(900)]);
    endpoint.cache.get().await.unwrap();
    pass(900.0 * 0.79).await;
    endpoint.cache.get().await.unwrap();
    assert_eq!(endpoint.asked(), 1, "not before 80 % of its life");
    pass(900.0 * 0.12).await;
    assert_eq!(endpoint.cache.get().await.unwrap().generation, 1, "the old one serves meanwhile");
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(endpoint.cache.get().await.unwrap().generation, 2);
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_leaves_the_old_token_until_it_expires() {
    let endpoint = endpoint(vec![Ok(900), refused(500)]);
    endpoint.cache.get().await.unwrap();
    pass(820.0).await;
    endpoint.cache.get().await.unwrap();
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(endpoint.cache.get().await.unwrap().generation, 1);
    pass(75.0).await;
    let failed = endpoint.cache.get().await.unwrap_err();
    assert_eq!(failed.failure(), TokenFailure::Refused { status: 500 });
}

#[tokio::test(start_paused = true)]
async fn only_the_rejected_token_is_dropped() {
    let endpoint = endpoint(vec![Ok(900)]);
    let first = endpoint.cache.get().await.unwrap();
    endpoint.cache.reject(first.generation);
    let second = endpoint.cache.get().await.unwrap();
    assert_eq!(second.generation, 2);
    for _ in 0..100 {
        endpoint.cache.reject(first.generation);
    }
    assert_eq!(endpoint.cache.get().await.unwrap().generation, 2, "a late 401 of the old one");
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn tokens_that_the_api_refuses_one_after_another_close_the_way() {
    let endpoint = endpoint(vec![Ok(900)]);
    for _ in 0..2 {
        let bearer = endpoint.cache.get().await.unwrap();
        endpoint.cache.reject(bearer.generation);
    }
    let closed = endpoint.cache.get().await.unwrap_err();
    assert!(matches!(closed, TokenError::BackingOff { cause: TokenFailure::Rejected, .. }));
    pass(1.3).await;
    let bearer = endpoint.cache.get().await.unwrap();
    endpoint.cache.accept(bearer.generation);
    endpoint.cache.reject(bearer.generation);
    assert!(endpoint.cache.get().await.is_ok(), "after an accepted one it begins anew");
}

#[tokio::test(start_paused = true)]
async fn refused_requests_back_off_from_1_to_60_seconds() {
    let endpoint = endpoint(vec![refused(401)]);
    let mut asked = 0;
    for earlier in 0..9u32 {
        let failed = endpoint.cache.get().await.unwrap_err();
        assert_eq!(failed, TokenError::Failed(TokenFailure::Refused { status: 401 }));
        asked += 1;
        let least = f64::from(1 << earlier.min(6)).min(60.0);
        pass(least - 0.01).await;
        let closed = endpoint.cache.get().await.unwrap_err();
        assert!(matches!(closed, TokenError::BackingOff { .. }), "after {earlier}");
        assert_eq!(endpoint.asked(), asked);
        pass(0.02 + (least * 0.25).min(60.0 - least)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_wish_is_a_floor_and_success_forgets() {
    let wish = Denied { failure: TokenFailure::Refused { status: 429 }, at_least: Duration::from_secs(300) };
    let endpoint = endpoint(vec![Err(wish), Ok(900)]);
    let begun = Utc::now();
    endpoint.cache.get().await.unwrap_err();
    pass(299.0).await;
    let TokenError::BackingOff { until, .. } = endpoint.cache.get().await.unwrap_err() else { panic!("it asked again") };
    assert!((299..=301).contains(&(until - begun).num_seconds()));
    pass(1.1).await;
    assert!(endpoint.cache.get().await.is_ok());
    assert_eq!(endpoint.cache.lock().failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_died_is_asked_anew() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let cache = TokenCache::asking(move || {
        counter.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { panic!("as a bug would") })
    });
    for _ in 0..2 {
        let failed = cache.get().await.unwrap_err();
        assert_eq!(failed, TokenError::Failed(TokenFailure::Unreachable));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn targets_with_the_same_pair_share_one() {
    let mut caches = TokenCaches::new(crate::prime::http().unwrap());
    let credentials = |client_id: &str| Credentials {
        token_endpoint: "https://example.test/token".parse().unwrap(),
        client_id: client_id.to_owned(),
        secret: Arc::new(|| "s3cret".into()),
    };
    let (one, same) = (caches.shared(credentials("a")), caches.shared(credentials("a")));
    assert!(Arc::ptr_eq(&one, &same));
    assert!(!Arc::ptr_eq(&one, &caches.shared(credentials("b"))));
    assert!(!format!("{:?} {one:?}", credentials("a")).contains("s3cret"));
}
