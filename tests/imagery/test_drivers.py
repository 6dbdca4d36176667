"""Catalogue B11 for rasters: content decides, nothing that an image names is ever asked."""

import socket
import threading

import pytest

from cim.errors import DriverRefused
from tests.formats.reading import read
from tests.imagery.images import write

VRT = """<VRTDataset rasterXSize="10" rasterYSize="10"><SRS>EPSG:4326</SRS>
<GeoTransform>114,0.1,0,23,0,-0.1</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
<SourceFilename relativeToVRT="0">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.fixture
def listener():
    """A loopback listener: its URL, and the number of connections it got."""
    hits = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        ended = threading.Event()

        def accept():
            while not ended.is_set():
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                hits.append(1)
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/canary.tif", hits
        ended.set()
        thread.join()


@pytest.mark.parametrize("name", ["scene.tif", "scene.vrt", "scene.jp2", "scene.xml", "scene"])
def test_B11_a_raster_vrt_under_any_name_is_refused_and_asks_no_address(tmp_path, listener, name):
    url, hits = listener
    path = tmp_path / name
    path.write_text(VRT.format(source=f"/vsicurl/{url}"))
    with pytest.raises(DriverRefused, match="XML with the root element VRTDataset"):
        read(path)
    assert hits == []


def test_B11_a_vrt_that_points_to_a_local_file_is_refused(tmp_path):
    canary = write(tmp_path / "canary.tif")
    path = tmp_path / "scene.tif"
    path.write_text(VRT.format(source=canary))
    with pytest.raises(DriverRefused) as refused:
        read(path)
    assert "canary" not in refused.value.detail


@pytest.mark.parametrize("root", ["GDAL_WMS", "WCS_GDAL"])
def test_B11_descriptions_of_web_services_are_refused(tmp_path, root):
    path = tmp_path / "service.xml"
    path.write_text(f"<{root}><Service name='WMS'><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></{root}>")
    with pytest.raises(DriverRefused, match=root):
        read(path)


@pytest.mark.parametrize("suffix", [".ovr", ".aux.xml", ".msk"])
def test_B11_files_beside_an_image_are_not_opened(tmp_path, listener, suffix):
    """GDAL takes overviews, masks and metadata from files beside an image, whatever those hold."""
    url, hits = listener
    path = write(tmp_path / "scene.tif")
    (tmp_path / f"scene.tif{suffix}").write_text(VRT.format(source=f"/vsicurl/{url}"))
    assert len(read(path).records) == 1
    assert hits == []


def test_B11_a_vrt_in_a_folder_is_rejected_and_its_siblings_are_stored(tmp_path, listener):
    url, hits = listener
    write(tmp_path / "good.tif")
    (tmp_path / "bad.tif").write_text(VRT.format(source=f"/vsicurl/{url}"))
    reading = read(tmp_path)
    assert [r["id"] for r in reading.records] == ["good.tif"]
    assert reading.codes == ["image/driver-not-allowed"]
    assert hits == []


@pytest.mark.parametrize("head", [b"\x89PNG\r\n\x1a\n", b"\x89HDF\r\n\x1a\n", b"CDF\x01", b"%PDF-1.7", b"\x7fELF"])
def test_B11_other_content_in_a_tif_is_refused(tmp_path, head):
    path = tmp_path / "scene.tif"
    path.write_bytes(head + bytes(200))
    with pytest.raises(DriverRefused, match=r"scene\.tif holds"):
        read(path)


def test_the_listener_would_notice(listener):
    url, hits = listener
    port = int(url.split(":")[2].split("/")[0])
    socket.create_connection(("127.0.0.1", port)).close()
    threading.Event().wait(0.3)
    assert hits == [1]
