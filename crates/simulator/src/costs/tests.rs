use super::*;

const COSTS: Costs = Costs {
    verify: 20_000,
    sign: 10_000,
    message: 5_000,
    kib: 1_000,
    transaction: 0,
    block: 0,
    call: 30_000,
    line: 1_000_000,
};

fn signed(number: u8) -> SignedTransaction {
    let transaction = quorate_types::Transaction {
        ledger: quorate_types::LedgerId([0; 32]),
        sender: quorate_types::PublicKey([1; 32]),
        session: quorate_types::SessionId::new(1),
        number: quorate_types::Number::new(number.into()),
        valid_until: quorate_types::LedgerTime(1),
        app: "kv".to_owned(),
        payload: Vec::new(),
    };
    SignedTransaction { transaction, signature: Signature([number; 64]) }
}

#[test]
fn one_thing_is_done_after_the_other() {
    let mut meter = Meter::default();
    assert_eq!(meter.work(100, 50_000), 150);
    assert_eq!(meter.work(100, 50_000), 200, "it is busy until then");
    assert_eq!(meter.work(1_000, 500), 1_001, "idle time is not saved up");
    assert_eq!(meter.spent, 100_500);
}

#[test]
fn m3_a_transaction_is_checked_once() {
    let mut meter = Meter::default();
    meter.called(&COSTS, 0, &signed(1));
    assert_eq!(meter.spent, 50_000);
    let forward = Message::Forward(vec![signed(1), signed(2)]);
    assert_eq!(meter.receive(&COSTS, 1_000, &forward, 1_024), 1_000 + 6 + 20);
    assert_eq!(meter.receive(&COSTS, 2_000, &forward, 1_024), 2_000 + 6);
}

#[test]
fn a_line_has_a_width() {
    let mut meter = Meter::default();
    assert_eq!(meter.send(&COSTS, 0, 1_024), 6 + 1_024);
    assert_eq!(meter.send(&COSTS, 0, 1_024), 6 + 2 * 1_024, "the first is still on its way");
    assert_eq!((meter.messages, meter.bytes), (2, 2_048));
}
