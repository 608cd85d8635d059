//! `hardtack demo`: the whole life of a capability, on real keys, a real store and a real policy
//! folder.

mod forge;
mod mcp;
mod tools;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use hardtack::{
    Call, Capability, Delegation, Denial, Grant, Guard, Issuer, Policy, Presenting, PrivateKey,
    PublicKey, Revocation, Revoking, RootKeys, Store, Timestamp, Verifier,
};

use crate::args::Demo;
use crate::command::{audit, lineage, token_tree};
use crate::terminal::{BAD, BOLD, Done, FAINT, GOOD, NAME, TEXT, now, say_lines};

const AUDIENCE: &str = "notion.mcp";

/// What a refusal means by a block's number, for the chain that both demonstrations draw.
const BLOCKS: &str = "Blocks are counted from the top: block 0 is the grant, block 1 the hop to agent.orchestrator, block 2 the hop to agent.researcher, and block 3 what is presented.";

/// What the second line of a record means.
const CHAINS: &str = "Each shows through whom the call came. Where it ends “(as the token says)”, the token was refused before all of it was verified: the names are its own claim.";

pub(crate) fn run(arguments: &Demo) -> Done {
    if arguments.mcp {
        return mcp::run(arguments.keep);
    }
    let scratch = tempfile::tempdir()?;
    let scene = Scene::set(scratch.path())?;
    scene.delegate()?;
    scene.call()?;
    scene.refuse()?;
    scene.revoke()?;
    scene.show_records()?;
    say_lines(format_args!(
        "\n{FAINT}The scratch folder with its keys and store is removed now. Next: `hardtack --help`{FAINT:#}"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// A human, two agents, a tool server, and the tokens that pass between them.
struct Scene {
    now: Timestamp,
    root: PublicKey,
    alice: PrivateKey,
    orchestrator: PrivateKey,
    researcher: PrivateKey,
    grant: Capability,
    orchestrators: Capability,
    researchers: Capability,
    guard: Guard,
    store: Store,
}

impl Scene {
    fn set(folder: &Path) -> Result<Scene, Box<dyn Error>> {
        title("A human grants, agents pass on less and less, one server is called")?;
        let now = now();
        let key = |name: &str| -> Result<PrivateKey, Box<dyn Error>> {
            let path = folder.join(name);
            PrivateKey::generate().save(&path)?;
            Ok(PrivateKey::load(&path)?)
        };
        let issuer = Issuer::new(key("root.key")?);
        let (alice, orchestrator, researcher) =
            (key("alice.key")?, key("orchestrator.key")?, key("researcher.key")?);
        let policies = folder.join("policies");
        fs::create_dir(&policies)?;
        fs::write(policies.join("default.datalog"), hardtack::internal::BUILTIN)?;

        let grant = Grant::to("user:alice")
            .scope("*")
            .fact_datalog("role(\"editor\")")
            .holder(alice.public());
        let grant = issuer.mint(grant, now)?;
        let orchestrators = grant.delegate(
            Delegation::to("agent.orchestrator")
                .scope("tools:call:*")
                .reason("prepare the release notes")
                .holder(orchestrator.public())
                .ttl(Duration::from_secs(3600)),
            &alice,
            now,
        )?;
        let researchers = orchestrators.delegate(
            Delegation::to("agent.researcher")
                .scope("tools:call:search")
                .audience(AUDIENCE)
                .reason("find the roadmap page")
                .holder(researcher.public()),
            &orchestrator,
            now,
        )?;
        let store = Store::create(folder.join("hardtack.store"))?;
        let root = issuer.public();
        let verifier =
            Verifier::new(RootKeys::of(root).named("acme"), AUDIENCE, store.revocations())?;
        let guard = Guard::new(verifier, Policy::load(policies)?, store.clone());
        Ok(Scene {
            now,
            root,
            alice,
            orchestrator,
            researcher,
            grant,
            orchestrators,
            researchers,
            guard,
            store,
        })
    }

    fn delegate(&self) -> Result<(), Box<dyn Error>> {
        let bearer = self.bearer()?;
        let chain = Capability::parse(&bearer)?;
        say_lines(format_args!("\n{}", token_tree::draw(chain.chain(), &[], self.now).trim_end()))?;
        say_lines(format_args!(
            "\nEach hop is a Biscuit block signed by the delegator's key, made offline. {BLOCKS} The bearer, which is all four, has {} characters.",
            bearer.len()
        ))
    }

    fn call(&self) -> Result<(), Box<dyn Error>> {
        title("The tool server checks it offline: is this call granted?")?;
        self.expect_allowed("the researcher searches", &self.bearer()?, &search()?)
    }

    fn refuse(&self) -> Result<(), Box<dyn Error>> {
        title("What it refuses, and why")?;
        let bearer = self.bearer()?;
        self.expect_denied("another tool", &bearer, &Call::tool("delete_page")?, self.now)?;

        let elsewhere =
            self.orchestrators.present(Presenting::to("mail.mcp"), &self.orchestrator, self.now)?;
        self.expect_denied("a token for another server", elsewhere.bearer(), &search()?, self.now)?;

        let later = self.now + Duration::from_secs(6 * 60);
        self.expect_denied("the same token six minutes later", &bearer, &search()?, later)?;

        let once = Presenting::to(AUDIENCE).call(search()?);
        let once = self.researchers.present(once, &self.researcher, self.now)?;
        self.expect_allowed("a token for one exact call", once.bearer(), &search()?)?;
        self.expect_denied("… the same token again", once.bearer(), &search()?, self.now)?;

        let thief = PrivateKey::generate();
        let soon = self.now + Duration::from_secs(60);
        let stolen = forge::present(&self.researchers, self.root, &thief, AUDIENCE, soon)?;
        self.expect_denied(
            "a stolen capability, presented by a thief",
            &stolen,
            &search()?,
            self.now,
        )?;

        let wider = Delegation::to("agent.greedy")
            .scope("tools:call:*")
            .reason("because I can")
            .holder(thief.public());
        match self.researchers.delegate(wider, &self.researcher, self.now) {
            Err(error) => refused("a hop that widens, when it is made", &error.to_string())?,
            Ok(_) => return Err("a hop that widens was made".into()),
        }
        let wider = forge::widen(&self.researchers, self.root, &self.researcher, soon)?;
        let wider = wider.present(Presenting::to(AUDIENCE), &self.researcher, self.now)?;
        self.expect_denied(
            "… made with another Biscuit library, as block 3",
            wider.bearer(),
            &Call::tool("delete_page")?,
            self.now,
        )
    }

    fn revoke(&self) -> Result<(), Box<dyn Error>> {
        title("Revoked from above: the orchestrator is stopped, and everything below it")?;
        let (delegation, assistant) = Delegation::to("agent.assistant")
            .scope("tools:call:search")
            .reason("answer alice's questions")
            .new_holder();
        let sibling = self.grant.delegate(delegation, &self.alice, self.now)?;
        let sibling = sibling.present(Presenting::to(AUDIENCE), &assistant, self.now)?;
        let bearer = self.bearer()?;
        self.expect_allowed("the researcher, before", &bearer, &search()?)?;
        let id = self.orchestrators.chain().hops[0].revocation_id;
        let revoking = Revoking::new(Revocation::Id { id }, "user:alice", "laptop stolen")?;
        self.store.revoke(revoking, self.now)?;
        say_lines(format_args!(
            "  {FAINT}revoked the hop to{FAINT:#} {NAME}agent.orchestrator{NAME:#}{FAINT}: laptop stolen{FAINT:#}"
        ))?;
        self.expect_denied("the researcher, after", &bearer, &search()?, self.now)?;
        self.expect_allowed("its sibling agent.assistant", sibling.bearer(), &search()?)?;
        say_lines(format_args!(
            "\n{FAINT}What the server has seen, and whom that stopped:{FAINT:#}\n"
        ))?;
        say_lines(lineage::draw(&self.store.reader().lineage()?, self.now).trim_end())
    }

    fn show_records(&self) -> Result<(), Box<dyn Error>> {
        title("The records: each was on disk before its answer was given")?;
        say_lines(format_args!("\n{FAINT}{CHAINS}{FAINT:#}\n"))?;
        let mut said = Ok(());
        self.store.each_record(|record| {
            if said.is_ok() {
                said = audit::print(&record);
            }
        })?;
        said?;
        let verified = self.store.reader().verify()?;
        say_lines(format_args!(
            "\n{GOOD}unchanged{GOOD:#} {TEXT}{} records, each continues the one before; the root of their tree is signed:\n          {}\n{FAINT}The root is one hash over all records. The store signs it with its log key, as a checkpoint: whoever changes, adds or takes away a record changes the root, which no longer fits the signature, and `hardtack audit verify` says so.{FAINT:#}",
            verified.records,
            hex::encode(verified.checkpoint.root())
        ))
    }

    fn bearer(&self) -> Result<String, Box<dyn Error>> {
        let bearer =
            self.researchers.present(Presenting::to(AUDIENCE), &self.researcher, self.now)?;
        Ok(bearer.bearer().to_owned())
    }

    fn expect_allowed(&self, what: &str, bearer: &str, call: &Call) -> Result<(), Box<dyn Error>> {
        let permit = self.guard.check(bearer, call, self.now)?;
        say_lines(format_args!("  {GOOD}allowed{GOOD:#} {TEXT}{BOLD}{what}{BOLD:#}"))?;
        say_lines(format_args!("          {} for {}", call.operation(), permit.subject()))?;
        Ok(())
    }

    fn expect_denied(
        &self,
        what: &str,
        bearer: &str,
        call: &Call,
        at: Timestamp,
    ) -> Result<(), Box<dyn Error>> {
        match self.guard.check(bearer, call, at) {
            Ok(_) => Err(format!("{what}: was allowed").into()),
            Err(denial @ Denial::Undecided(_)) => Err(denial.into()),
            Err(denial) => refused(what, &denial.to_string()),
        }
    }
}

fn search() -> Result<Call, Box<dyn Error>> {
    Ok(Call::tool("search")?.arguments(r#"{"query": "roadmap"}"#)?)
}

fn title(text: &str) -> Result<(), Box<dyn Error>> {
    say_lines(format_args!("\n{BOLD}{text}{BOLD:#}"))
}

fn refused(what: &str, why: &str) -> Result<(), Box<dyn Error>> {
    say_lines(format_args!("  {BAD}denied{BAD:#}  {TEXT}{BOLD}{what}{BOLD:#}"))?;
    say_lines(format_args!("          {why}"))
}
