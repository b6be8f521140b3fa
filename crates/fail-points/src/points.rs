//! Every point there is. A new one gets a line here and a line where it is.

macro_rules! points {
    ($($variant:ident $name:literal $kind:ident)*) => {
        /// A place where something can be made to go wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Point { $($variant),* }

        /// Names, and whether the step can fail.
        #[cfg(debug_assertions)]
        pub(crate) const POINTS: &[(&str, bool)] = &[$(($name, points!(@ $kind))),*];
        #[cfg(debug_assertions)]
        pub(crate) const COUNT: usize = POINTS.len();
    };
    (@ fails) => { true };
    (@ passes) => { false };
}

points! {
    // Making a container.
    CreateName "create.name" passes
    CreateSnapshot "create.snapshot" fails
    CreateSnapshotMade "create.snapshot-made" passes
    CreateFolder "create.folder" fails
    CreateVolume "create.volume" fails
    CreateVolumeRecorded "create.volume-recorded" passes
    CreateFill "create.fill" fails
    CreateResolved "create.resolved" passes
    CreateRecorded "create.recorded" passes

    // Starting it: the daemon's part,
    StartFolder "start.folder" fails
    StartNetwork "start.network" fails
    StartPorts "start.ports" fails
    StartLink "start.link" fails
    StartPublished "start.published" passes
    StartAttached "start.attached" fails
    StartFiles "start.files" fails
    StartSharedMemory "start.shared-memory" fails
    StartConfigured "start.configured" passes
    StartFork "start.fork" fails
    StartForked "start.forked" fails
    StartLaunched "start.launched" passes
    StartRecorded "start.recorded" passes
    // its supervisor's,
    StartPlaces "start.places" fails
    StartLog "start.log" fails
    StartStreams "start.streams" fails
    StartSupervised "start.supervised" fails
    StartExecuted "start.executed" passes
    StartAnswered "start.answered" passes
    // and the runtime's.
    StartCgroup "start.cgroup" fails
    StartCloned "start.cloned" fails
    StartAdmitted "start.admitted" fails
    StartReady "start.ready" fails

    // A further process in it.
    ExecCreated "exec.created" passes
    ExecAsk "exec.ask" passes
    ExecStreams "exec.streams" fails
    ExecStarted "exec.started" passes
    ExecRecorded "exec.recorded" passes
    ExecAnswered "exec.answered" passes
    ExecEnded "exec.ended" passes

    // Its end: the supervisor's part,
    StopSignal "stop.signal" passes
    StopSignalled "stop.signalled" passes
    StopEnded "stop.ended" passes
    StopDelete "stop.delete" passes
    StopDeleted "stop.deleted" passes
    StopRecorded "stop.recorded" passes
    StopSocket "stop.socket" passes
    StopTold "stop.told" passes
    // and the daemon's.
    StopAsk "stop.ask" passes
    StopHeard "stop.heard" passes
    StopWithdrawn "stop.withdrawn" passes
    StopReleased "stop.released" passes
    StopRecordedEnd "stop.recorded-end" passes
    StopTidied "stop.tidied" passes

    // Another run of it, by its restart policy.
    RestartDue "restart.due" passes
    RestartStarted "restart.started" passes

    // Its removal.
    RemoveBegin "remove.begin" passes
    RemoveSnapshot "remove.snapshot" fails
    RemoveSnapshotRemoved "remove.snapshot-removed" passes
    RemoveFolder "remove.folder" fails
    RemoveRecord "remove.record" passes
    RemoveRecordRemoved "remove.record-removed" passes
    RemoveRunFolder "remove.run-folder" passes
    RemoveVolume "remove.volume" fails
    RemoveVolumeRecord "remove.volume-record" passes
    RemoveVolumeFiles "remove.volume-files" passes

    // Loading an image.
    LoadRead "load.read" fails
    LoadLayer "load.layer" fails
    LoadLayerPlaced "load.layer-placed" fails
    LoadConfig "load.config" fails
    LoadConfigPlaced "load.config-placed" fails
    LoadRecorded "load.recorded" passes

    // A daemon's start, with what an earlier one left.
    RestoreOrphans "restore.orphans" passes
    RestoreAdopted "restore.adopted" passes
    RestoreBury "restore.bury" passes
    RestoreBuried "restore.buried" passes
    RestoreRecorded "restore.recorded" passes
    RestoreCollect "restore.collect" passes
    RestoreResume "restore.resume" passes
}
