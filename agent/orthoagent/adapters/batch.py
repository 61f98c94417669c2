"""Pilots submitted and cancelled through PSI/J, which knows how to speak to Slurm and PBS.

Of its batch scripts only the directives are taken. What it would run (a shell that starts a launcher that starts the
worker) dies of the scheduler's signals before the worker has drained.
"""

from __future__ import annotations

import asyncio
import io
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal

from psij import Job, JobAttributes, JobSpec, ResourceSpecV1, SubmitException
from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutor, BatchSchedulerExecutorConfig
from psij.executors.batch.pbs import PBSJobExecutor
from psij.executors.batch.pbs_base import PBSExecutorConfig
from psij.executors.batch.script_generator import TemplatedScriptGenerator
from psij.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor

from orthoagent.adapters.pbs import pbs_jobs
from orthoagent.adapters.slurm import slurm_jobs
from orthoagent.errors import CommandFailedError
from orthoagent.pilots.scheduler import PilotRefusedError, PilotSpec, SeenJob
from orthoagent.pilots.script import pilot_script, refusal

CALL_LIMIT_S = 120.0
_NEVER_S = 10**7
"""PSI/J's own looks at the queue: we look ourselves."""
_REFUSES = re.compile(
    r"invalid|unrecogni[sz]ed|not available|denied|permission|not authori[sz]ed|unauthorized|unknown|illegal|violates"
    r"|exceeds|cannot be satisfied|can not be satisfied",
    re.IGNORECASE,
)


class _OurScript(BatchSchedulerExecutor):
    """Between PSI/J's base and its executors: keeps the directives of their scripts, and leaves no script behind."""

    generator: TemplatedScriptGenerator

    def __init__(self, spec: PilotSpec, config: BatchSchedulerExecutorConfig) -> None:
        config.work_directory = spec.folder / "psij"
        config.queue_polling_interval = config.initial_queue_polling_delay = _NEVER_S
        self.spec = spec
        super().__init__(config=config)

    def submit(self, job: Job) -> None:
        try:
            super().submit(job)
        finally:
            (self.work_directory / f"{job.id}.job").unlink(missing_ok=True)

    def generate_submit_script(self, job: Job, context: dict[str, object], submit_file: IO[str]) -> None:
        whole = io.StringIO()
        self.generator.generate_submit_script(job, context, whole)
        assert job.spec is not None
        agent = str(job.spec.name)
        submit_file.write(pilot_script(agent, self.directives(whole.getvalue().splitlines(), agent), self.spec))

    @abstractmethod
    def directives(self, lines: Sequence[str], agent: str) -> Iterator[str]:
        """Those of a script of PSI/J's, and what is to be asked for besides."""


class _SlurmPilots(_OurScript, SlurmJobExecutor):
    _NAME_ = "slurm"

    def directives(self, lines: Sequence[str], agent: str) -> Iterator[str]:
        yield from (line for line in lines if line.startswith("#SBATCH "))
        yield f"#SBATCH --job-name={agent}"
        if "qos" in self.spec.options:
            yield f"#SBATCH --qos={self.spec.options['qos']}"
        if self.spec.extra:
            yield f"#SBATCH {self.spec.extra}"

    def get_cancel_command(self, native_id: str) -> list[str]:
        # One that has begun since we looked stays.
        return ["scancel", "--quiet", "--state=PENDING", native_id]


class _PbsPilots(_OurScript, PBSJobExecutor):
    _NAME_ = "pbs"

    def directives(self, lines: Sequence[str], agent: str) -> Iterator[str]:
        # PSI/J asks for cores by way of MPI ranks, and writes an equals sign into the name.
        others = ("#PBS -N", "#PBS -l select", "#PBS -l place")
        yield from (line for line in lines if line.startswith("#PBS ") and not line.startswith(others))
        yield f"#PBS -N {agent}"
        memory_bytes = self.spec.memory_bytes
        memory = "" if memory_bytes is None else f":mem={memory_bytes // 1024}kb"
        yield f"#PBS -l select=1:ncpus={self.spec.cores}{memory}"
        if self.spec.extra:
            yield f"#PBS {self.spec.extra}"


class BatchScheduler:
    """A `Scheduler` over PSI/J. Its calls block, so each runs in a thread."""

    def __init__(self, kind: Literal["slurm", "pbs"], spec: PilotSpec) -> None:
        self.name = {"slurm": "Slurm", "pbs": "PBS"}[kind]
        self._spec = spec
        self._executor: BatchSchedulerExecutor = (
            _SlurmPilots(spec, SlurmExecutorConfig()) if kind == "slurm" else _PbsPilots(spec, PBSExecutorConfig())
        )
        self._jobs = slurm_jobs if kind == "slurm" else pbs_jobs

    async def look(self) -> list[SeenJob]:
        return await self._jobs()

    async def submit(self, agent: str) -> str:
        job = self._job(agent)
        try:
            await self._call(self._executor.submit, job)
        except SubmitException as error:
            said = str(error.message)
            if _REFUSES.search(said):
                raise PilotRefusedError(refusal(self.name, said, self._spec.options)) from error
            raise CommandFailedError(f"{self.name} takes no pilot now: {said.strip()[:1000]}") from error
        assert job.native_id is not None
        return job.native_id

    async def cancel(self, job: str) -> None:
        attached = Job()
        attached._native_id = job  # `attach` would have PSI/J poll it
        try:
            await self._call(self._executor.cancel, attached)
        except SubmitException as error:
            raise CommandFailedError(f"{self.name} does not cancel job {job}: {error.message}") from error

    async def _call(self, function: Any, job: Job) -> None:
        try:
            async with asyncio.timeout(CALL_LIMIT_S):
                await asyncio.to_thread(function, job)
        except OSError as error:
            raise CommandFailedError(f"{self.name}'s commands cannot be run: {error}") from error
        except TimeoutError:
            raise CommandFailedError(f"{self.name} did not answer within {CALL_LIMIT_S:g} s") from None

    def _job(self, agent: str) -> Job:
        spec = self._spec
        return Job(
            JobSpec(
                executable=spec.command[0],
                name=agent,
                directory=spec.folder,
                inherit_environment=False,
                resources=ResourceSpecV1(process_count=1, cpu_cores_per_process=spec.cores, memory=spec.memory_bytes),
                attributes=JobAttributes(
                    duration=spec.walltime,
                    queue_name=spec.options.get("partition"),
                    account=spec.options.get("account"),
                ),
            )
        )
