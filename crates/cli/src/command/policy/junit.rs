//! JUnit: reports of trials as the XML that CI servers read.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hardtack::trial::{Decided, Fault, Report};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

/// Writes a suite a set: each case a test, and what no case shows a failed one.
pub(crate) fn write(path: &Path, reports: &[Report]) -> Result<(), Box<dyn Error>> {
    let mut document = quick_junit::Report::new("hardtack policy test");
    document.add_test_suites(reports.iter().map(suite));
    let failed = |error: &dyn Error| format!("{} cannot be written: {error}", path.display());
    let text = document.to_string().map_err(|error| failed(&error))?;
    fs::write(path, text).map_err(|error| failed(&error))?;
    Ok(())
}

fn suite(report: &Report) -> TestSuite {
    let mut suite = TestSuite::new(report.folder.display().to_string());
    suite.set_time(report.cases.iter().map(|case| case.took).sum::<Duration>());
    suite.add_test_cases(report.cases.iter().map(test));
    suite.add_test_cases(report.faults.iter().map(missing));
    suite
}

fn test(case: &Decided) -> TestCase {
    let status = match case.is_as_expected() {
        true => TestCaseStatus::success(),
        false => failure(&case.difference(), &case.to_string()),
    };
    // The same case may be decided twice, by other files.
    let mut test =
        TestCase::new(format!("{} (by {})", case.name, case.policies.join(", ")), status);
    test.set_classname(case.at.file.clone()).set_time(case.took);
    test
}

fn missing(fault: &Fault) -> TestCase {
    let mut test =
        TestCase::new(fault.to_string(), failure(&fault.to_string(), &fault.to_string()));
    test.set_classname("coverage");
    test
}

fn failure(message: &str, description: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message).set_description(description);
    status
}
