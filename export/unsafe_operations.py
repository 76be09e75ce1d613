"""The TensorFlow operations that a network has no use for, and that can harm who runs it.

Reviewed against the operations of TensorFlow 2.15 and 2.21; ``test_audit.py`` finds new
ones by their names. None of TensorFlow's own operations starts a process: that takes
Python (a ``PyFunc``) or an operation that is not TensorFlow's own, and both are refused.
"""

from __future__ import annotations

from collections.abc import Mapping

_FILES = """
    ReadFile WriteFile MatchingFiles RecordInput DumpTensor FileSystemSetConfiguration
    Save SaveSlices SaveV2 Restore RestoreSlice RestoreV2 DTensorRestoreV2 MergeV2Checkpoints
    WholeFileReader WholeFileReaderV2 TextLineReader TextLineReaderV2 LMDBReader
    FixedLengthRecordReader FixedLengthRecordReaderV2 TFRecordReader TFRecordReaderV2
    TextLineDataset FixedLengthRecordDataset FixedLengthRecordDatasetV2 TFRecordDataset TFRecordDatasetV2
    CSVDataset CSVDatasetV2 ExperimentalCSVDataset LMDBDataset ExperimentalLMDBDataset
    SqlDataset ExperimentalSqlDataset MatchingFilesDataset ExperimentalMatchingFilesDataset
    CacheDataset CacheDatasetV2 SnapshotDataset SnapshotDatasetV2 SnapshotDatasetReader
    SnapshotNestedDatasetReader SnapshotChunkDataset ListSnapshotChunksDataset
    SaveDataset SaveDatasetV2 LoadDataset DistributedSave DatasetToTFRecord ExperimentalDatasetToTFRecord
    InitializeTableFromTextFile InitializeTableFromTextFileV2 GenerateVocabRemapping LoadAndRemapMatrix
    FixedUnigramCandidateSampler Skipgram
    CreateSummaryFileWriter CreateSummaryDbWriter SummaryWriter ImportEvent FlushSummaryWriter
    CloseSummaryWriter WriteSummary WriteAudioSummary WriteGraphSummary WriteHistogramSummary
    WriteImageSummary WriteRawProtoSummary WriteScalarSummary StatsAggregatorSetSummaryWriter
    CalibrationStatisticsSaver InitializeTRTResource SerializeTRTResource PrintV2
"""  # PrintV2 prints to file:// too; CacheDataset, the summaries and the samplers take a file name.

_SOCKETS = """
    RpcServer RpcServerStart RpcServerRegister RpcClient RpcCall RpcCheckStatus RpcGetValue
    DeleteRpcFutureResource DataServiceDataset DataServiceDatasetV2 DataServiceDatasetV3
    DataServiceDatasetV4 RegisterDataset RegisterDatasetV2 RemoteCall
    Send Recv _Send _Recv _HostSend _HostRecv
    DebugIdentity DebugIdentityV2 DebugIdentityV3 DebugNanCount DebugNumericSummary
"""  # The debugger's operations send to grpc:// and write to file:// addresses.

_PYTHON = "PyFunc PyFuncStateless EagerPyFunc"

_PROGRAMS = """
    DatasetFromGraph DeserializeIterator MlirPassthroughOp RemoteFusedGraphExecute TfLiteSubgraphExecute
    TRTEngineOp XlaCallModule _XlaHostComputeMlir _TPUCompileMlir
"""

_REASONS = {
    "reads or writes files": _FILES,
    "talks to other programs": _SOCKETS,
    "runs Python": _PYTHON,
    "runs a program that it carries as data, where it cannot be looked at": _PROGRAMS,
}

REASON_OF: Mapping[str, str] = {name: reason for reason, names in _REASONS.items() for name in names.split()}
"""What a refused operation does, by its name."""

UNKNOWN = "is not one of TensorFlow's own operations, so what it does cannot be told"

SAVING = frozenset(("SaveV2", "MergeV2Checkpoints"))
RESTORING = frozenset(("RestoreV2",))
