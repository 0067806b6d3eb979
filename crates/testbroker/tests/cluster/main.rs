//! Drives the broker with requests made by `kafka-protocol`, over TCP and over in-memory pipes.

#[cfg(test)]
mod administering;
#[cfg(test)]
mod client;
#[cfg(test)]
mod compacting;
#[cfg(test)]
mod failing;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod grouping;
#[cfg(test)]
mod moving;
#[cfg(test)]
mod producing;
#[cfg(test)]
mod transacting;
#[cfg(test)]
mod versions;
