//! Real processes: what only they show. Each test has a loopback address, a directory and a home of its own.

mod audit;
mod backup;
mod by_hand;
mod chaos;
mod commands;
mod disk_shim;
mod disks;
mod endurance;
mod failures;
mod harness;
mod health;
mod judge;
mod ledgers;
mod lifecycle;
mod load;
mod members;
mod old_image;
mod power;
mod rates;
mod recording;
mod scrape;
mod transfer;
mod why;
